import { Text } from "@mantine/core";
import { modals } from "@mantine/modals";

/** Asks before something that cannot be taken back. */
export function confirm(title: string, text: string, action: string, onConfirm: () => void): void {
  modals.openConfirmModal({
    title,
    children: (
      <Text size="sm" style={{ overflowWrap: "anywhere" }}>
        {text}
      </Text>
    ),
    labels: { confirm: action, cancel: "Cancel" },
    confirmProps: { color: "red" },
    onConfirm,
  });
}
