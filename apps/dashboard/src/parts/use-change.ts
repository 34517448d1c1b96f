import { useMutation, useQueryClient, type QueryKey, type UseMutationResult } from "@tanstack/react-query";
import { isSignedOut } from "../connection/genga.ts";

/** A change by a button; what it concerns is read again afterwards. */
export function useChange<Given, Answer>(
  act: (given: Given) => Promise<Answer>,
  changed: QueryKey,
): UseMutationResult<Answer, Error, Given> {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: act,
    onSettled: (_answer, error) => {
      void queries.invalidateQueries({ queryKey: isSignedOut(error) ? ["session"] : changed });
    },
  });
}
