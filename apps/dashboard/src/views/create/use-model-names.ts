import { useQuery } from "@tanstack/react-query";
import { dataOf, genga } from "../../connection/genga.ts";

const none: readonly string[] = [];
const namesMax = 1_000;

/** What the servers have of a kind of models. Without an answer the names are typed. */
export function useModelNames(kind: string | undefined): readonly string[] {
  const query = useQuery({
    queryKey: ["models", kind],
    queryFn: async ({ signal }) => {
      const query = { kind: [kind], limit: namesMax } as never;
      const { models } = await dataOf(genga.http.GET("/api/anime/models", { params: { query }, signal }));
      return models.map(({ name }) => name);
    },
    enabled: kind !== undefined,
    staleTime: 60_000,
  });
  return query.data ?? none;
}
