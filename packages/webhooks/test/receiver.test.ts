import { readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";

test("docs/webhooks.md shows the receiver that the tests run", async () => {
  const page = await readFile(new URL("../../../docs/webhooks.md", import.meta.url), "utf8");
  const receiver = await readFile(new URL("receiver.ts", import.meta.url), "utf8");
  expect(page).toContain(`\`\`\`ts\n${receiver}\`\`\``);
});
