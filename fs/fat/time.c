/* Times: local, of no stated zone, from 1980 to 2107. */
#include "fat.h"

enum {
    SECONDS_A_DAY = 24 * 60 * 60,
    DAYS_TO_1980 = 3652, /* from 1970 */
};

/* Days from 1980-01-01 to the first day of a year up to 2107. */
static int64_t days_to_year(unsigned year)
{
    int64_t days = (int64_t)year * 365 + (year + 3) / 4;

    return days - (year > 120); /* 2100 is no leap year */
}

FsTime fat_time(uint16_t date, uint16_t time, uint8_t hundredths)
{
    static const uint16_t days_before[] = {0,   31,  59,  90,  120, 151,
                                           181, 212, 243, 273, 304, 334};
    unsigned year = date >> 9, month = date >> 5 & 0xf, day = date & 0x1f;
    bool is_leap = year % 4 == 0 && year != 120;

    /* Months and days count from 1; what is none of them is the first. */
    month = month >= 1 && month <= 12 ? month - 1 : 0;
    day = MAX(day, 1) - 1;

    int64_t days = DAYS_TO_1980 + days_to_year(year) + days_before[month] + day +
                   (is_leap && month >= 2);
    unsigned seconds =
        (time >> 11) * 3600 + (time >> 5 & 0x3f) * 60 + (time & 0x1f) * 2;

    return (FsTime){
        .sec = days * SECONDS_A_DAY + seconds + hundredths / 100,
        .nsec = hundredths % 100 * 10000000u,
    };
}
