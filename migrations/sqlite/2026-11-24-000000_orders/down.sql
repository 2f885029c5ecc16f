DROP TABLE orders;
DROP VIEW clock;
