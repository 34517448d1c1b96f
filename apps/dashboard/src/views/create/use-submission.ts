import { type AcceptedBatch, type AcceptedJob, type CheckedBatch } from "@genga/client";
import { useMutation, useQueryClient, type UseMutationResult } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useRef } from "react";
import { dataOf, genga, isSignedOut } from "../../connection/genga.ts";
import { useBodyKey } from "../../connection/use-body-key.ts";

/** A body as JSON text, in which graphs have all digits of their numbers. */
interface Submitted {
  readonly kind: "job" | "batch";
  readonly text: string;
}

interface Submission {
  readonly submit: (submitted: Submitted) => void;
  readonly error: Error | null;
  readonly isPending: boolean;
  readonly reset: () => void;
}

/** Accepted once, however often the button is pressed; then the page of the job, or of the batch, is opened. */
export function useSubmission(): Submission {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const keyOf = useBodyKey();
  // A second click comes before the button is drawn as busy.
  const isUnderWay = useRef(false);
  const { mutate, error, isPending, reset } = useMutation({
    mutationFn: ({ kind, text }: Submitted): Promise<AcceptedJob | AcceptedBatch> => {
      const init = { ...bodyInit(text), params: { header: { "Idempotency-Key": keyOf(text) } } };
      return kind === "job"
        ? dataOf(genga.http.POST("/api/anime/generate", init) as Promise<{ data?: AcceptedJob }>)
        : dataOf(genga.http.POST("/api/anime/batches", init) as Promise<{ data?: AcceptedBatch }>);
    },
    // The form is shown, and busy, until the next view has been loaded.
    onSuccess: ({ id }, { kind }) =>
      kind === "job"
        ? navigate({ to: "/jobs/$id", params: { id } })
        : navigate({ to: "/batches/$id", params: { id } }),
    onError: (refused) => {
      if (isSignedOut(refused)) void queries.invalidateQueries({ queryKey: ["session"] });
    },
    onSettled: () => {
      isUnderWay.current = false;
    },
  });
  return {
    ...{ error, isPending, reset },
    submit: (submitted) => {
      if (isUnderWay.current) return;
      isUnderWay.current = true;
      mutate(submitted);
    },
  };
}

/** What the API thinks of a batch; nothing is stored. */
export function useCheck(): UseMutationResult<CheckedBatch, Error, string> {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (text: string) =>
      dataOf(genga.http.POST("/api/anime/batches", bodyInit(text)) as Promise<{ data?: CheckedBatch }>),
    onError: (error) => {
      if (isSignedOut(error)) void queries.invalidateQueries({ queryKey: ["session"] });
    },
  });
}

function bodyInit(text: string): { body: never; bodySerializer: () => string } {
  return { body: {} as never, bodySerializer: () => text };
}
