import { ActionIcon, Anchor, Group, Modal, Stack, Text } from "@mantine/core";
import { useHotkeys } from "@mantine/hooks";
import { IconChevronLeft, IconChevronRight } from "@tabler/icons-react";
import { type ReactNode } from "react";

interface Picture {
  readonly id: string;
  readonly url: string;
  readonly name: string;
  readonly detail: string;
}

/** One picture as large as the window, the others by the arrow keys. */
export function Lightbox({
  pictures,
  shownId,
  onShow,
  actions,
}: {
  pictures: readonly Picture[];
  shownId: string | undefined;
  onShow: (id: string | undefined) => void;
  /** Beside the picture. */
  actions?: ReactNode;
}): ReactNode {
  const place = pictures.findIndex(({ id }) => id === shownId);
  const shown = pictures[place];
  const go = (by: number) => (): void => {
    const next = pictures[place + by];
    if (shown !== undefined && next !== undefined) onShow(next.id);
  };
  useHotkeys([
    ["ArrowLeft", go(-1)],
    ["ArrowRight", go(1)],
  ]);
  return (
    <Modal
      opened={shown !== undefined}
      onClose={() => onShow(undefined)}
      fullScreen
      title={shown === undefined ? "" : `${shown.name} (${place + 1} of ${pictures.length})`}
      closeButtonProps={{ "aria-label": "Close" }}
      styles={{ title: { overflowWrap: "anywhere" } }}
      transitionProps={{ duration: 0 }}
    >
      {shown !== undefined && (
        <Stack gap="xs">
          <Group wrap="nowrap" gap="xs">
            <Arrow label="The picture before" onClick={go(-1)} isOff={place === 0}>
              <IconChevronLeft aria-hidden />
            </Arrow>
            <img
              src={shown.url}
              alt={shown.name}
              style={{ flex: 1, minWidth: 0, height: "calc(100dvh - 150px)", objectFit: "contain" }}
            />
            <Arrow label="The next picture" onClick={go(1)} isOff={place === pictures.length - 1}>
              <IconChevronRight aria-hidden />
            </Arrow>
          </Group>
          {actions}
          <Text size="sm" ta="center" c="dimmed">
            {shown.detail} ·{" "}
            <Anchor href={shown.url} download={shown.name} size="sm">
              Download
            </Anchor>
          </Text>
        </Stack>
      )}
    </Modal>
  );
}

function Arrow({
  label,
  onClick,
  isOff,
  children,
}: {
  label: string;
  onClick: () => void;
  isOff: boolean;
  children: ReactNode;
}): ReactNode {
  return (
    <ActionIcon variant="subtle" color="gray" size="lg" aria-label={label} onClick={onClick} disabled={isOff}>
      {children}
    </ActionIcon>
  );
}
