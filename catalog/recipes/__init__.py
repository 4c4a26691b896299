"""Named, frozen sets of choices: the model and the shipped presets."""
