"""Commands that measure what is no run: predictions for a folder of images, and images themselves.

The declarations import nothing heavy; bodies are loaded when a command is called.
"""
