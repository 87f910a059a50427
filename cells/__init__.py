"""What a competitor is given: archive, cleaning, folds, augmentation, shift, a drawn archive."""
