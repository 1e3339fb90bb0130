"""Help for people, in English and Korean: topics from the declared verbs and written texts."""
