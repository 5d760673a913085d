"""The public page: one port, our routes first, Gradio behind them."""
