import { createHash } from "node:crypto";
import { types } from "node:util";
import { type Redis } from "ioredis";

/** A Lua script that Redis runs as one step. Redis gets its text once and knows it by its hash afterwards. */
export class RedisScript {
  readonly #text: string;
  readonly #hash: string;

  constructor(text: string) {
    this.#text = text;
    this.#hash = createHash("sha1").update(text).digest("hex");
  }

  async run(redis: Redis, keys: string[], values: (string | number)[]): Promise<unknown> {
    try {
      return await redis.evalsha(this.#hash, keys.length, ...keys, ...values);
    } catch (error) {
      // A Redis that was restarted or wiped does not know the script.
      if (!types.isNativeError(error) || !error.message.startsWith("NOSCRIPT")) throw error;
      return await redis.eval(this.#text, keys.length, ...keys, ...values);
    }
  }
}
