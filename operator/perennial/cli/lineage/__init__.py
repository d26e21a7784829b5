"""What is known about one prediction or one model: from storage by the agent, from resources for the rest."""
