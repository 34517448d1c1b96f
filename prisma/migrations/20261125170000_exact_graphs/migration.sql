-- The text of a graph with a number that jsonb would write in another way: 1e5 as 100000, -0.0 as 0.0. NULL: jsonb keeps all.
ALTER TABLE "workflows" ADD COLUMN "graph_text" TEXT;
