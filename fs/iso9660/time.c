/* Times: 7 bytes of numbers, or 16 digits and the zone. */
#include <time.h>
#include "iso9660.h"

enum { ZONE_UNIT_SECONDS = 15 * 60, ZONE_LEAST = -48, ZONE_MOST = 52 };

static FsTime make_time(const struct tm *local, int8_t zone, unsigned hundredths)
{
    struct tm tm = *local;

    if (tm.tm_mon < 0 || tm.tm_mon > 11 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
        tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60) {
        return (FsTime){0};
    }
    if (zone < ZONE_LEAST || zone > ZONE_MOST) {
        zone = 0;
    }
    return (FsTime){timegm(&tm) - zone * ZONE_UNIT_SECONDS, hundredths * 10000000};
}

FsTime iso_time_short(const uint8_t time[7])
{
    struct tm tm = {
        .tm_year = time[0],
        .tm_mon = time[1] - 1,
        .tm_mday = time[2],
        .tm_hour = time[3],
        .tm_min = time[4],
        .tm_sec = time[5],
    };

    return make_time(&tm, (int8_t)time[6], 0);
}

/* -1: not all of them are digits. */
static int digits(const uint8_t *text, unsigned count)
{
    int value = 0;

    for (unsigned i = 0; i < count; i++) {
        if (!g_ascii_isdigit(text[i])) {
            return -1;
        }
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

FsTime iso_time_long(const uint8_t time[17])
{
    struct tm tm = {
        .tm_year = digits(time, 4) - 1900,
        .tm_mon = digits(time + 4, 2) - 1,
        .tm_mday = digits(time + 6, 2),
        .tm_hour = digits(time + 8, 2),
        .tm_min = digits(time + 10, 2),
        .tm_sec = digits(time + 12, 2),
    };

    if (digits(time, 4) <= 0 || tm.tm_hour < 0 || tm.tm_min < 0 || tm.tm_sec < 0) {
        return (FsTime){0};
    }
    return make_time(&tm, (int8_t)time[16], MAX(digits(time + 14, 2), 0));
}
