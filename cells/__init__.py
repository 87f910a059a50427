"""What a competitor is given: the archive, cleaning, folds, augmentation, shift, the demo archive."""
