"""The specifications that run, `spec/Shuttle.da` and `spec/Figure2.da`, and what holds the implementation against them."""
