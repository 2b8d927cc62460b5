"""FER2013 (Goodfellow et al. 2013) as a csv and as folders, and FER+ (Barsoum et al. 2016), labelled by ten people."""
