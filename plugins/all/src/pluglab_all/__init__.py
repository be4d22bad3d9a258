"""Nothing but the recipes, in the folder `recipes`: in a clone it is a link to those of the clone."""
