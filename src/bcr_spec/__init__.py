"""The specification that runs, `spec/Shuttle.da`, and what holds the implementation against it."""
