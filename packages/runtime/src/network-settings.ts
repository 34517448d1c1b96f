import { isIP } from "node:net";
import { z } from "zod";
import { parseUrl } from "./parse-url.ts";
import { list } from "./setting-values.ts";

/** Origins of pages, as browsers write them. */
export const corsOrigins = z
  .string()
  .transform(list)
  .pipe(
    z.array(
      z.string().refine((text) => /^https?:/.test(text) && parseUrl(text)?.origin === text),
      { error: "origins as browsers write them (https://pages.example), separated by commas" },
    ),
  );

/** Addresses and subnets, as Express's `trust proxy` takes them. */
export const trustedProxies = z
  .string()
  .transform(list)
  .pipe(
    z.array(
      z.string().refine((text) => {
        if (["loopback", "linklocal", "uniquelocal"].includes(text)) return true;
        const [address = "", length, ...rest] = text.split("/");
        const bits = isIP(address) === 6 ? 128 : 32;
        const isLength = length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= bits);
        return isIP(address) !== 0 && isLength && rest.length === 0;
      }),
      { error: "addresses, subnets (10.0.0.0/8), loopback, linklocal or uniquelocal, separated by commas" },
    ),
  );
