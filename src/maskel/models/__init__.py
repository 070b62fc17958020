"""Encoder, decoder and their parts."""
