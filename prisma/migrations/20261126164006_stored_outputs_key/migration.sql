-- A file is still stored by one attempt only; jobs that were answered from another one name its files, too.
CREATE UNIQUE INDEX outputs_stored_key ON outputs (storage_key) WHERE attempt >= 1;
DROP INDEX outputs_storage_key_key;
