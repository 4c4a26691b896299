"""The stages themselves: what each reads, computes and stores."""
