"""From a split to batches on a device: gathered, augmented, mixed, resized; and the views of an image at test time."""
