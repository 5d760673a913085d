"""Clips rendered on the fly: rooms and open air with furniture, exact depth, cameras and motion."""
