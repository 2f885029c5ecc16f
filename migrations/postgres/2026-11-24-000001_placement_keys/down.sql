DROP TABLE placement_keys;
