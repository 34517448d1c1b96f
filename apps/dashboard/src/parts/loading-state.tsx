import { Skeleton, Stack } from "@mantine/core";
import { type ReactNode } from "react";

/** Has the height of what will stand here, so that nothing jumps. */
export function LoadingState({ rows = 6, height = 36 }: { rows?: number; height?: number }): ReactNode {
  return (
    <Stack gap="xs" p="md" aria-busy="true" aria-label="Loading" role="status">
      {Array.from({ length: rows }, (_, index) => (
        <Skeleton key={index} height={height} />
      ))}
    </Stack>
  );
}
