/*
 * Reads texts by the schema: the first byte picks the type, and whether the rest is
 * JSON or key=value. What was read is printed as JSON that reads as the same.
 */
#include "qapi/qapi-types.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_printed(const QapiType *type, const void *value)
{
    g_autofree char *text = qapi_object_to_json_text(type, value, false);
    g_autofree char *pretty = qapi_object_to_json_text(type, value, true);
    g_autoptr(GError) error = NULL;
    void *again = qapi_object_from_json_text(type, pretty, -1, &error);

    g_assert_true(g_utf8_validate(text, -1, NULL));
    /* Integers beyond INT64_MAX can be given as key=value only. */
    if (!again && strstr(error->message, "does not fit")) {
        return;
    }
    g_assert_no_error(error);
    g_autofree char *text_again = qapi_object_to_json_text(type, again, false);
    g_assert_cmpstr(text, ==, text_again);

    void *copy = qapi_object_copy(type, again);
    qapi_object_free(type, again);
    g_autofree char *text_of_copy = qapi_object_to_json_text(type, copy, false);
    g_assert_cmpstr(text, ==, text_of_copy);
    qapi_object_free(type, copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const QapiType *const types[] = {
        &qapi_type_blockdev_options,  &qapi_type_image_info,
        &qapi_type_profile_table,     &qapi_type_file_entry,
        &qapi_type_volume_table_info,
    };
    g_autoptr(GError) error = NULL;
    void *value;

    if (size == 0) {
        return 0;
    }
    const QapiType *type = types[data[0] / 2 % G_N_ELEMENTS(types)];
    if (data[0] % 2) {
        g_autofree char *text = g_strndup((const char *)data + 1, size - 1);

        value = qapi_object_from_keyval(type, text, "driver", &error);
    } else {
        value =
            qapi_object_from_json_text(type, (const char *)data + 1, size - 1, &error);
    }
    if (!value) {
        g_assert_nonnull(error);
        return 0;
    }
    g_assert_null(error);
    check_printed(type, value);
    qapi_object_free(type, value);
    return 0;
}
