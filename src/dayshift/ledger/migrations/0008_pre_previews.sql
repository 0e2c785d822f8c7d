-- The beginning of what an effect was asked, without secrets; kept only while the setting journal.preview_characters says so.

ALTER TABLE effects ADD COLUMN preview text;
