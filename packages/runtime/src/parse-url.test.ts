import { expect, test } from "@jest/globals";
import { identityOfUrl, readComfyUIAddress } from "./comfyui-address.ts";
import { readConfiguration } from "./configuration.ts";

test("addresses in letters beyond ASCII are read, however many were read before", () => {
  const [identities, problems] = [new Set<string>(), new Set<unknown>()];
  for (let count = 0; count < 30_000; count += 1) {
    identities.add(identityOfUrl("http://bücher.example:8188/"));
    try {
      identities.add(readComfyUIAddress("http://bücher.example:8188", undefined).url);
      if (count % 3 === 0) readConfiguration({ PUBLIC_URL: "https://bücher.example/studio" });
    } catch (error) {
      problems.add((error as Error).message);
    }
  }
  expect([[...identities], [...problems]]).toEqual([["http://xn--bcher-kva.example:8188"], []]);
});
