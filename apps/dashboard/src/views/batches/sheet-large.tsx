import { type Job } from "@genga/client";
import { Button, Group } from "@mantine/core";
import { type ReactNode } from "react";
import { localUrl } from "../../connection/genga.ts";
import { Lightbox } from "../../parts/lightbox.tsx";

/** One job of the sheet as large as the window; it can be marked there, too. */
export function SheetLarge({
  jobs,
  shownId,
  onShow,
  onMark,
}: {
  jobs: readonly Job[];
  shownId: string | undefined;
  onShow: (id: string | undefined) => void;
  /** Absent for whoever may not. */
  onMark: ((mark: "pick" | "reject") => void) | undefined;
}): ReactNode {
  const pictures = jobs.flatMap(({ id, batchIndex, mark, links: { thumbnail } }) =>
    thumbnail === undefined
      ? []
      : [
          {
            ...{ id, url: `${localUrl(thumbnail)}?size=1024`, name: `Job ${(batchIndex ?? 0) + 1}` },
            detail: mark === "pick" ? "picked" : mark === "reject" ? "rejected" : "no mark",
          },
        ],
  );
  const actions = onMark !== undefined && (
    <Group justify="center" gap="xs">
      <Button size="xs" color="teal" onClick={() => onMark("pick")}>
        Pick (P)
      </Button>
      <Button size="xs" color="red" onClick={() => onMark("reject")}>
        Reject (X)
      </Button>
    </Group>
  );
  return <Lightbox pictures={pictures} shownId={shownId} onShow={onShow} actions={actions} />;
}
