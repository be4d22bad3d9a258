"""`lab export`: a trained model out of its run folder, in files that need no pluglab."""
