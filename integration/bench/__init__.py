"""The measurements of the README: ratios taken in one run, with the limit beside each."""
