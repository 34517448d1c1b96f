/**
 * The floor of accepting one job: an Express handler that parses the body as JSON, writes one row and adds one job to a queue.
 * It checks nothing and promises nothing.
 *
 * DATABASE_URL and REDIS_URL; reports its URL as an app does.
 */
import { type AddressInfo } from "node:net";
import { Queue } from "bullmq";
import express from "express";
import pg from "pg";
import { z } from "zod";

const environment = z.object({ DATABASE_URL: z.string(), REDIS_URL: z.string() }).parse(process.env);
const { hostname: host, port, password } = new URL(environment.REDIS_URL);
const pool = new pg.Pool({ connectionString: environment.DATABASE_URL, max: 10 });
await pool.query(
  "CREATE TABLE bare_accepted (id uuid PRIMARY KEY, body jsonb NOT NULL, created_at timestamptz NOT NULL)",
);
const queue = new Queue("bare-accept", {
  connection: { host, port: Number(port), ...(password !== "" && { password }) },
});
await queue.waitUntilReady();

const app = express();
app.use(express.json());
app.post("/generate", async (request, response) => {
  const id = crypto.randomUUID();
  const body: unknown = request.body;
  await pool.query("INSERT INTO bare_accepted VALUES ($1, $2, now())", [id, JSON.stringify(body)]);
  await queue.add("image", { jobId: id, attempt: 0 }, { jobId: `ticket-${id}-0`, priority: 524_288 });
  response.status(202).json({ id, status: "queued", links: { self: `/jobs/${id}` } });
});
const server = app.listen(0, "127.0.0.1", () => {
  const address = z.custom<AddressInfo>().parse(server.address());
  process.send?.({ type: "ready", details: { url: `http://127.0.0.1:${address.port}` } });
});
for (const end of ["SIGTERM", "disconnect"]) process.once(end, () => process.exit(0));
