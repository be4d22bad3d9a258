"""Networks that turn images into features, as components of the kind `feature_extractor`."""
