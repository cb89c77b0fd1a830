"""SavedModel, TFLite and TF.js from a trained model, each compared with Keras before it counts.

May import `models` and what lies below. Start with `export`.
"""
