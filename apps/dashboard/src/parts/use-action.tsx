import { notifications } from "@mantine/notifications";
import { useQueryClient, type QueryKey } from "@tanstack/react-query";
import { type ReactNode, useCallback } from "react";
import { messageOf } from "../connection/api-errors.ts";
import { ask } from "./ask.tsx";

interface Action {
  readonly title: string;
  /** What follows from it. */
  readonly text: ReactNode;
  /** What the button says. */
  readonly confirm: string;
  readonly isDangerous?: boolean;
  readonly act: () => Promise<unknown>;
  /** What is read anew afterwards. */
  readonly changes: readonly QueryKey[];
  /** What a person is told once it is done. */
  readonly done: string;
}

/** Asks before it does something, and says what came of it. */
export function useAction(): (action: Action) => void {
  const queries = useQueryClient();
  return useCallback(
    ({ title, text, confirm, isDangerous = false, act, changes, done }) => {
      const run = async (): Promise<void> => {
        try {
          await act();
          notifications.show({ color: "teal", message: done });
        } catch (error) {
          const { title: what, detail } = messageOf(error);
          notifications.show({ color: "red", title: what, message: detail, autoClose: 15_000 });
        }
        await Promise.all(changes.map((queryKey) => queries.invalidateQueries({ queryKey })));
      };
      ask({
        ...{ title, text, confirm, cancel: "Leave it" },
        ...(isDangerous && { color: "red" }),
        onConfirm: () => void run(),
      });
    },
    [queries],
  );
}
