import { Text } from "@mantine/core";
import { modals } from "@mantine/modals";
import { type ReactNode } from "react";

interface Question {
  readonly title: string;
  /** What follows from it. */
  readonly text: ReactNode;
  /** What the button says. */
  readonly confirm: string;
  readonly cancel: string;
  readonly color?: string;
  readonly onConfirm: () => void;
}

/** Asks before something is done. A question is answered once, however often its buttons are pressed while it closes. */
export function ask({ title, text, confirm, cancel, color, onConfirm }: Question): void {
  let isAnswered = false;
  modals.openConfirmModal({
    title,
    children: (
      <Text size="sm" style={{ overflowWrap: "anywhere" }}>
        {text}
      </Text>
    ),
    labels: { confirm, cancel },
    ...(color !== undefined && { confirmProps: { color } }),
    onCancel: () => {
      isAnswered = true;
    },
    onConfirm: () => {
      if (isAnswered) return;
      isAnswered = true;
      onConfirm();
    },
  });
}
