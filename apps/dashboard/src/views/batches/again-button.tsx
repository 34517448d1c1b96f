import { type BatchDetail } from "@genga/client";
import { Button } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { IconRepeat } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { messageOf } from "../../connection/api-errors.ts";
import { dataOf, genga } from "../../connection/genga.ts";
import { keys } from "../../connection/queries.ts";
import { useBodyKey } from "../../connection/use-body-key.ts";
import { ask } from "../../parts/ask.tsx";
import { useOnce } from "../../parts/use-once.ts";
import { rejectedQuery } from "./use-sheet.ts";

const route = getRouteApi("/frame/batches/$id");

/** Makes the rejected jobs again, each with a new seed, as a batch of their own. */
export function AgainButton({ batch }: { batch: BatchDetail }): ReactNode {
  const queries = useQueryClient();
  const navigate = route.useNavigate();
  const { data } = useQuery(rejectedQuery(batch.id));
  const { count, isMore } = data ?? { count: 0, isMore: false };
  const keyOf = useBodyKey();
  const mutationKey = ["batch-again", batch.id];
  const once = useOnce(mutationKey);
  const again = useMutation({
    mutationKey,
    mutationFn: () => {
      // The same jobs again are the same submission, if its answer was lost.
      const header = { "Idempotency-Key": keyOf(`${batch.id} ${data?.ids ?? ""}`) };
      const init = { params: { path: { id: batch.id }, header }, body: { mark: "reject" } };
      return dataOf(genga.http.POST("/api/anime/batches/{id}/rerun", init as never));
    },
    onSuccess: async ({ id }) => {
      notifications.show({ message: "Submitted; this is the new batch." });
      void queries.invalidateQueries({ queryKey: keys.batches() });
      await navigate({ to: "/batches/$id", params: { id }, search: { part: "sheet" } });
    },
    onError: (error) => {
      const { title, detail } = messageOf(error);
      notifications.show({ color: "red", title, message: detail, autoClose: 10_000 });
    },
  });
  const number = `${count}${isMore ? "+" : ""}`;
  const askFirst = (): void => {
    ask({
      title: `Make ${number} rejected jobs again?`,
      text: `Each gets a new seed and otherwise stays what it is. They become a batch of their own, “${batch.name ?? "batch"} again”.`,
      confirm: "Submit",
      cancel: "Back",
      onConfirm: () => once(() => again.mutate()),
    });
  };
  return (
    <Button
      leftSection={<IconRepeat size={16} aria-hidden />}
      onClick={askFirst}
      disabled={count === 0}
      loading={again.isPending}
      miw={250}
    >
      Again with new seeds ({number})
    </Button>
  );
}
