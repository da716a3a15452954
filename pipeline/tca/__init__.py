"""The cost report and the savings of crossing and aggregation, from rows of the topic `tca`. Pure."""
