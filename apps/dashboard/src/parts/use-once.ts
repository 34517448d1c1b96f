import { useQueryClient, type MutationKey } from "@tanstack/react-query";
import { useCallback } from "react";

/** Begins nothing while a change of that name is under way: a second click comes before a button is drawn as busy. */
export function useOnce(mutationKey: MutationKey): (begin: () => void) => void {
  const queries = useQueryClient();
  const name = JSON.stringify(mutationKey);
  return useCallback(
    (begin) => {
      if (queries.isMutating({ mutationKey: JSON.parse(name) as MutationKey, exact: true }) === 0) begin();
    },
    [queries, name],
  );
}
