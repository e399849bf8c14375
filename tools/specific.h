#ifndef EMBR_TOOLS_SPECIFIC_H
#define EMBR_TOOLS_SPECIFIC_H

#include "qapi/qapi-types.h"

/* Prints "Format specific information:" and a line for each member, as qemu-img does. */
void specific_print(const ImageInfoSpecific *specific);

#endif
