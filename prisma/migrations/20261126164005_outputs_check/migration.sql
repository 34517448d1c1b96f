ALTER TABLE outputs VALIDATE CONSTRAINT outputs_bounds_check;
