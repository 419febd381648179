"""The specifications that run, `spec/Shuttle.da`, `spec/Figure2.da` and `spec/AmongLiars.da`, and what holds the implementation against them."""
