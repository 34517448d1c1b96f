import { CloseButton, Group, Image, Input, Loader, Text } from "@mantine/core";
import { Dropzone } from "@mantine/dropzone";
import { useMutation } from "@tanstack/react-query";
import { useEffect, useState, type ReactNode } from "react";
import { messageOf } from "../../connection/api-errors.ts";
import { genga } from "../../connection/genga.ts";
import { bytesText } from "../../parts/bytes-text.ts";
import { type FileValue } from "./job-body.ts";

interface FileInputProps {
  readonly label: string;
  readonly description?: string;
  readonly required: boolean;
  readonly error?: string;
  readonly value: FileValue | undefined;
  readonly onChange: (value: FileValue | undefined) => void;
}

/** A picture that is sent to the API as soon as it is dropped here; the job names it by its id. */
export function FileInput({
  label,
  description,
  required,
  error,
  value,
  onChange,
}: FileInputProps): ReactNode {
  const [shown, setShown] = useState<string>();
  const upload = useMutation({
    mutationFn: (file: File) => genga.upload(file, { mediaType: file.type }),
    onSuccess: ({ id, bytes, width, height }, file) => {
      setShown(URL.createObjectURL(file));
      onChange({ id, name: file.name, bytes, width, height });
    },
  });
  useEffect(
    () => () => {
      if (shown !== undefined) URL.revokeObjectURL(shown);
    },
    [shown],
  );
  const refused = upload.isError ? messageOf(upload.error) : undefined;
  const said = error ?? (refused === undefined ? undefined : refused.detail || refused.title);
  return (
    <Input.Wrapper
      label={label}
      labelElement="div"
      description={description}
      required={required}
      error={said}
    >
      {value === undefined ? (
        <Dropzone
          onDrop={(files) => {
            if (files[0] !== undefined) upload.mutate(files[0]);
          }}
          maxFiles={1}
          multiple={false}
          loading={upload.isPending}
          p="sm"
          mt={4}
          inputProps={{ "aria-label": label }}
        >
          <Group gap="xs" mih={36}>
            {upload.isPending && <Loader size="xs" />}
            <Text size="sm">Drop a picture here, or press to choose one.</Text>
          </Group>
        </Dropzone>
      ) : (
        <Group gap="sm" wrap="nowrap" mt={4}>
          {shown !== undefined && <Image src={shown} alt="" w={64} h={64} fit="contain" radius="sm" />}
          <Text size="sm" style={{ overflowWrap: "anywhere", flex: 1 }}>
            {value.name} · {value.width} × {value.height} · {bytesText(value.bytes)}
          </Text>
          <CloseButton
            aria-label={`Remove ${label}`}
            onClick={() => {
              setShown(undefined);
              onChange(undefined);
            }}
          />
        </Group>
      )}
    </Input.Wrapper>
  );
}
