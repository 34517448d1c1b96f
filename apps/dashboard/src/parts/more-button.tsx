import { Button } from "@mantine/core";
import { type ReactNode } from "react";

interface Pages {
  readonly hasNextPage: boolean;
  readonly isFetchingNextPage: boolean;
  fetchNextPage(): Promise<unknown>;
}

/** Reads the next page of a list, as long as there is one. */
export function MoreButton({ pages, label }: { pages: Pages; label: string }): ReactNode {
  if (!pages.hasNextPage) return null;
  return (
    <Button
      variant="default"
      size="sm"
      loading={pages.isFetchingNextPage}
      onClick={() => void pages.fetchNextPage()}
    >
      {label}
    </Button>
  );
}
