import { type Output } from "@genga/client";
import { Anchor, Group, Paper, ScrollArea, SimpleGrid, Stack, Text, UnstyledButton } from "@mantine/core";
import { IconDownload, IconFile, IconPhotoPlus } from "@tabler/icons-react";
import { getRouteApi, Link } from "@tanstack/react-router";
import { type ReactNode } from "react";
import { localUrl } from "../../connection/genga.ts";
import { useMay } from "../../connection/session.tsx";
import { bytesText } from "../../parts/bytes-text.ts";
import { focusable } from "../../parts/focusable.ts";
import { Lightbox } from "../../parts/lightbox.tsx";
import { Section } from "../../parts/section.tsx";
import { durationText } from "../../parts/times.tsx";
import { changedSearch } from "./job-search.ts";
import { kindOf } from "./output-kind.ts";

const route = getRouteApi("/frame/jobs/$id");

/** Pictures, videos, sounds and texts as such; everything else is a download. */
export function JobOutputs({ outputs }: { outputs: readonly Output[] }): ReactNode {
  const { output: shownId } = route.useSearch();
  const navigate = route.useNavigate();
  const pictures = outputs.filter((output) => kindOf(output) === "picture");
  const show = (output: string | undefined): void => {
    void navigate({
      search: (old) => changedSearch(old, { output }),
      ...{ replace: true, resetScroll: false },
    });
  };
  return (
    <Section title={`Outputs (${outputs.length})`}>
      <SimpleGrid cols={{ base: 1, xs: 2, md: 3, xl: 4 }}>
        {outputs.map((output) => (
          <OutputCard key={output.id} output={output} onShow={() => show(output.id)} />
        ))}
      </SimpleGrid>
      <Lightbox
        pictures={pictures.map((output) => ({
          id: output.id,
          url: localUrl(output.links.content),
          name: nameOf(output),
          detail: detailOf(output),
        }))}
        shownId={shownId}
        onShow={show}
      />
    </Section>
  );
}

function OutputCard({ output, onShow }: { output: Output; onShow: () => void }): ReactNode {
  return (
    <Paper withBorder p="xs">
      <Stack gap={6} h="100%" justify="space-between">
        <Content output={output} onShow={onShow} />
        <Group gap="xs" justify="space-between" wrap="nowrap">
          <Stack gap={0} style={{ minWidth: 0 }}>
            <Text size="sm" truncate title={nameOf(output)}>
              {nameOf(output)}
            </Text>
            <Text size="xs" c="dimmed">
              {detailOf(output)}
            </Text>
          </Stack>
          <Group gap="xs" wrap="nowrap">
            <BeginWithIt output={output} />
            <Anchor
              href={localUrl(output.links.content)}
              download={nameOf(output)}
              aria-label={`Download ${nameOf(output)}`}
            >
              <IconDownload size={18} aria-hidden />
            </Anchor>
          </Group>
        </Group>
      </Stack>
    </Paper>
  );
}

/** Leads to the form for an image that begins with this one. */
function BeginWithIt({ output }: { output: Output }): ReactNode {
  const { id } = route.useParams();
  const may = useMay();
  if (kindOf(output) !== "picture" || !may("submit")) return null;
  const label = `Begin another image with ${nameOf(output)}`;
  return (
    <Anchor
      aria-label={label}
      title={label}
      renderRoot={(props) => (
        <Link to="/create" search={{ image: `${id}.${output.index}` }} preload={false} {...props} />
      )}
    >
      <IconPhotoPlus size={18} aria-hidden />
    </Anchor>
  );
}

const height = 220;
const fitted = { width: "100%", height, objectFit: "contain", display: "block" } as const;

function Content({ output, onShow }: { output: Output; onShow: () => void }): ReactNode {
  const { thumbnail, content } = output.links;
  switch (kindOf(output)) {
    case "picture":
      return (
        <UnstyledButton onClick={onShow} aria-label={`Show ${nameOf(output)} large`}>
          <img
            src={thumbnail === undefined ? localUrl(content) : sized(localUrl(thumbnail))}
            alt={nameOf(output)}
            loading="lazy"
            style={fitted}
          />
        </UnstyledButton>
      );
    case "video":
      return (
        <video
          controls
          loop
          preload="metadata"
          aria-label={nameOf(output)}
          style={fitted}
          src={localUrl(content)}
          {...(thumbnail !== undefined && { poster: sized(localUrl(thumbnail)) })}
        />
      );
    case "audio":
      return (
        <audio
          controls
          preload="metadata"
          aria-label={nameOf(output)}
          src={localUrl(content)}
          style={{ width: "100%" }}
        />
      );
    case "text":
      return (
        <ScrollArea h={height} type="auto" viewportProps={focusable(nameOf(output))}>
          <Text size="sm" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
            {output.text ?? ""}
          </Text>
        </ScrollArea>
      );
    case "file":
      return (
        <Group h={height} justify="center" c="dimmed">
          {thumbnail === undefined ? (
            <IconFile size={48} stroke={1} aria-hidden />
          ) : (
            <img src={sized(localUrl(thumbnail))} alt={nameOf(output)} loading="lazy" style={fitted} />
          )}
        </Group>
      );
  }
}

const sized = (thumbnail: string): string => `${thumbnail}?size=512`;

function nameOf({ filename, key, index }: Output): string {
  return filename ?? `${key} ${index + 1}`;
}

function detailOf({ width, height, durationMs, bytes, mediaType }: Output): string {
  return [
    width !== null && height !== null ? `${width} × ${height}` : null,
    durationMs === null ? null : durationText(durationMs),
    bytesText(bytes),
    mediaType,
  ]
    .filter((detail) => detail !== null)
    .join(" · ");
}
