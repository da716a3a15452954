"""The pages that are written from the code, one module each; `ops/update_docs.py` writes and checks them."""
