"""What is conserved whatever comes in, in any order: hypothesis draws the life."""
