"""Folders of images: which level says split, person and class, and the images in them.  Imports `base` alone."""
