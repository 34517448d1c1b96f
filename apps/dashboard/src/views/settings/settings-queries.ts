import { queryOptions } from "@tanstack/react-query";
import { dataOf, genga } from "../../connection/genga.ts";

export const keysKey = ["keys"] as const;
export const webhooksKey = ["webhooks"] as const;

const readKeys = ({ signal }: { signal: AbortSignal }) =>
  dataOf(genga.http.GET("/api/anime/keys", { signal }));
export type Key = Awaited<ReturnType<typeof readKeys>>["keys"][number];

export const keysQuery = queryOptions({ queryKey: keysKey, queryFn: readKeys });

const readWebhooks = ({ signal }: { signal: AbortSignal }) =>
  dataOf(genga.http.GET("/api/anime/webhooks", { signal }));
export type Webhook = Awaited<ReturnType<typeof readWebhooks>>["webhooks"][number];

export const webhooksQuery = queryOptions({
  queryKey: webhooksKey,
  queryFn: readWebhooks,
});
