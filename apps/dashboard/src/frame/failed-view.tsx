import { type ErrorComponentProps } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { ErrorState } from "../parts/error-state.tsx";

/** In place of a view that made a mistake, or whose files are those of an earlier version. */
export function FailedView({ error }: ErrorComponentProps): ReactNode {
  return (
    <ErrorState
      error={error}
      onRetry={() => {
        window.location.reload();
      }}
    />
  );
}
